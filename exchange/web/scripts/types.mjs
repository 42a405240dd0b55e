// Writes src/api/types.ts: the methods and objects of the exchange's OpenRPC document, as TypeScript.
import { readFile, writeFile } from "node:fs/promises";
import { compile } from "json-schema-to-typescript";

const source = new URL("../../../docs/openrpc.json", import.meta.url);
const target = new URL("../src/api/types.ts", import.meta.url);
const api = JSON.parse((await readFile(source, "utf8")).replaceAll("#/components/schemas/", "#/definitions/"));

const object = (properties, required) => ({ type: "object", properties, required, additionalProperties: false });
const methods = api.methods.map((method) => {
  const params = Object.fromEntries(
    method.params.map((param) => [param.name, { ...param.schema, description: param.description }]),
  );
  const required = method.params.filter((param) => param.required).map((param) => param.name);
  const shape = { params: object(params, required), result: method.result.schema };
  return [method.name, { ...object(shape, Object.keys(shape)), description: method.summary }];
});
// A title would become the name of an anonymous object inside a method.
const root = {
  title: "Methods",
  ...object(
    Object.fromEntries(methods),
    methods.map(([name]) => name),
  ),
  definitions: api.components.schemas,
};
const text = await compile(root, "Methods", {
  additionalProperties: false,
  unreachableDefinitions: true,
  bannerComment: "// Written by `npm run types` from docs/openrpc.json. Change that, not this file.",
  style: { printWidth: 120 },
});
await writeFile(target, text);
