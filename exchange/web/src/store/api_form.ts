// The form of a method, made of the OpenRPC document: a field for each parameter, and the request of what was typed.
export interface Schema {
  $ref?: string;
  type?: string;
  enum?: (string | number)[];
  anyOf?: Schema[];
  allOf?: Schema[];
  "x-unit"?: string;
  [key: string]: unknown;
}

export interface ApiParam {
  name: string;
  description?: string;
  required: boolean;
  schema: Schema;
}

export interface ApiMethod {
  name: string;
  summary: string;
  params: ApiParam[];
}

export interface ApiDocument {
  methods: ApiMethod[];
  components: { schemas: Record<string, Schema> };
}

export interface Field {
  name: string;
  kind: "choice" | "flag" | "integer" | "text" | "json";
  choices: string[];
  unit: string;
  isRequired: boolean;
  help: string;
}

/** The schemas that a value may have, without references and null. */
function alternatives(schema: Schema, document: ApiDocument): Schema[] {
  if (schema.$ref !== undefined) {
    const found = document.components.schemas[schema.$ref.split("/").at(-1) ?? ""];
    return found === undefined ? [] : alternatives(found, document);
  }
  const parts = schema.anyOf ?? schema.allOf;
  if (parts !== undefined) return parts.flatMap((it) => alternatives(it, document));
  return schema.type === "null" ? [] : [schema];
}

export function fieldOf(param: ApiParam, document: ApiDocument): Field {
  const found = alternatives(param.schema, document);
  const choices = found.flatMap((it) => it.enum ?? []).map(String);
  const types = new Set(found.map((it) => it.type));
  const is = (type: string) => types.size === 1 && types.has(type);
  const kind =
    choices.length > 0 ? "choice" : is("boolean") ? "flag" : is("integer") ? "integer" : is("string") ? "text" : "json";
  const unit = param.schema["x-unit"] ?? found.map((it) => it["x-unit"]).find((it) => it !== undefined) ?? "";
  return { name: param.name, kind, choices, unit, isRequired: param.required, help: param.description ?? "" };
}

/** The parameters of what was typed into the fields; a text says what is wrong. An empty field is left out. */
export function paramsOf(fields: Field[], typed: ReadonlyMap<string, string>): Record<string, unknown> | string {
  const params: Record<string, unknown> = {};
  for (const field of fields) {
    const text = (typed.get(field.name) ?? "").trim();
    if (text === "") {
      if (field.isRequired) return `${field.name} is missing.`;
      continue;
    }
    if (field.kind === "integer") {
      const value = Number(text);
      if (!Number.isSafeInteger(value)) return `${field.name} is a whole number, such as 1000.`;
      params[field.name] = value;
    } else if (field.kind === "flag") {
      params[field.name] = text === "true";
    } else if (field.kind === "json") {
      try {
        params[field.name] = JSON.parse(text);
      } catch {
        return `${field.name} is JSON, such as ["trades.SOL"].`;
      }
    } else {
      params[field.name] = text;
    }
  }
  return params;
}

const READS = /^(public\/|private\/(get_|explain|simulate|what_if))/;

/** True if a method changes something, so that it is confirmed before it is sent. */
export function changesSomething(method: string, params: Record<string, unknown>): boolean {
  return !READS.test(method) && !method.startsWith("admin/get_") && params["dry_run"] !== true;
}
