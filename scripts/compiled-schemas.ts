// Prints, as JSON, what the build puts in the place of some sources: path → text. They say by schemas how settings, state and
// requests are checked; what stands for them are the schemas as data, and the checks as ajv writes them. So the daemon loads
// neither TypeBox nor a compiler of schemas, which cost 12 MB of memory and a good part of its start.
import type { Ajv, ValidateFunction } from "ajv";
import standaloneCode from "ajv/dist/standalone/index.js";
import { ajv as apiAjv, requestChecks } from "../daemon/api/request-checks.ts";
import { ajv, checkSettings, checkState } from "../daemon/checks.ts";
import * as settings from "../daemon/settings.ts";
import * as savedState from "../daemon/saved-state.ts";
import { contract } from "../shared/contract.ts";

/** A module of these functions: the body of each is CommonJS, as ajv writes it. */
function functions(compiledBy: Ajv, checks: Readonly<Record<string, ValidateFunction>>): string {
  const entries = Object.entries(checks).map(([name, check]) => {
    const body = standaloneCode.default(compiledBy, check);
    return `${JSON.stringify(name)}: made((module, exports) => {${body}\n}),\n`;
  });
  return `const made = (define) => {
  const module = { exports: {} };
  define(module, module.exports);
  return module.exports;
};
const checks = {\n${entries.join("")}};\n`;
}

const data = (values: object): string =>
  Object.entries(values)
    .map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};\n`)
    .join("");

/** Which parts a request has and what an answer's media type is: the server looks at no more of it. */
const outline = Object.fromEntries(
  Object.entries(contract).map(([verb, { response: _response, summary: _summary, ...rest }]) => [
    verb,
    Object.fromEntries(
      Object.entries(rest).map(([part, schema]) => [part, part === "produces" ? schema : {}]),
    ),
  ]),
);

process.stdout.write(
  JSON.stringify({
    "shared/contract.ts": data({ contract: outline }),
    "daemon/settings.ts": data(settings),
    "daemon/saved-state.ts": data(savedState),
    "daemon/checks.ts": `${functions(ajv, { checkSettings, checkState })}export const { checkSettings, checkState } = checks;\n`,
    "daemon/api/request-checks.ts": `${functions(apiAjv, requestChecks)}export { checks as requestChecks };\n`,
  }),
);
