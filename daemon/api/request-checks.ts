// What requests are checked with. As in daemon/checks.ts, the build puts the functions that ajv made in its place.
import { Ajv, type ValidateFunction } from "ajv";
import { contract } from "../../shared/contract.ts";
import { routes, type Verb } from "../../shared/routes.ts";

const parts = ["params", "querystring", "body"] as const;

/** What has compiled them: it coerces nothing and drops nothing. It keeps their source for the build. */
export const ajv = new Ajv({ code: { source: true } });

/** `VERB PART` → whether that part of a request is as the contract has it; for the parts that a verb has. */
export const requestChecks: Readonly<Record<string, ValidateFunction>> = Object.fromEntries(
  (Object.keys(routes) as Verb[]).flatMap((verb) =>
    parts.flatMap((part) => {
      const schema = (contract[verb] as Partial<Record<typeof part, object>>)[part];
      return schema === undefined ? [] : [[`${verb} ${part}`, ajv.compile(schema)] as const];
    }),
  ),
);
