// Writes openapi.json from the contract; test/api/openapi.test.ts says when the file no longer tells the truth.
import { writeFile } from "node:fs/promises";
import { openApi } from "./openapi-document.ts";

await writeFile("openapi.json", `${JSON.stringify(await openApi(), null, 2)}\n`);
