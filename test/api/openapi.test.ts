import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { openApi } from "../../scripts/openapi-document.ts";
import { contract } from "../../shared/contract.ts";
import { routes, type Verb } from "../../shared/routes.ts";

interface Described {
  produces?: [string];
  response: { 200: { required?: string[] } };
}

describe("openapi.json", () => {
  it("is what the contract says (npm run openapi writes it)", async () => {
    const file = JSON.parse(await readFile("openapi.json", "utf8")) as unknown;
    expect(file).toEqual(JSON.parse(JSON.stringify(await openApi())));
  });

  it("has every route of the table, under its verb", async () => {
    const { paths } = JSON.parse(await readFile("openapi.json", "utf8")) as {
      paths: Record<string, Record<string, { operationId: string }>>;
    };
    for (const [verb, { method, url }] of Object.entries(routes)) {
      const path = url.replaceAll(/:(\w+)/g, "{$1}");
      expect(paths[path]?.[method.toLowerCase()]?.operationId).toBe(verb);
    }
  });

  it.each(Object.entries(routes))(
    "requires what tunctl cannot do without in an answer: %s",
    (verb, { fields }) => {
      const { produces, response } = contract[verb as Verb] as Described;
      const required = produces === undefined ? (response[200].required ?? []) : [];
      expect(required).toEqual(expect.arrayContaining([...fields]));
      expect(fields.length > 0).toBe(required.length > 0);
    },
  );
});
