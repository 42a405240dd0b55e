// Which rules would change: the leaves of two JSON values, by their paths.
export interface Difference {
  rule: string;
  before: string;
  after: string;
}

type Leaves = Map<string, string>;

function leavesOf(value: unknown, path: string, found: Leaves): Leaves {
  if (value !== null && typeof value === "object") {
    for (const [name, part] of Object.entries(value)) leavesOf(part, path === "" ? name : `${path}.${name}`, found);
  } else {
    found.set(path, JSON.stringify(value));
  }
  return found;
}

export function differences(before: unknown, after: unknown): Difference[] {
  const old = leavesOf(before, "", new Map());
  const fresh = leavesOf(after, "", new Map());
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .filter((rule) => old.get(rule) !== fresh.get(rule))
    .map((rule) => ({ rule, before: old.get(rule) ?? "(none)", after: fresh.get(rule) ?? "(none)" }));
}
