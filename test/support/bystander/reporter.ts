// A reporter of vitest's: which test ran when, for `npm run bystander`.
import { appendFileSync, readFileSync } from "node:fs";
import type { Mode } from "./in-mode.ts";
import type { TestRecord } from "./scenarios.ts";

interface TestCase {
  fullName: string;
  module: { moduleId: string };
  parent: { type: string; name?: string; parent?: TestCase["parent"] };
  name: string;
  result(): { state: string; errors?: readonly { message: string }[] };
  diagnostic(): { startTime: number; duration: number } | undefined;
}

export default class {
  readonly #file: string;

  constructor() {
    const { tests } = JSON.parse(readFileSync(process.env["TUND_TEST_BYSTANDER"] ?? "", "utf8")) as Mode;
    this.#file = tests;
  }

  onTestCaseResult(test: TestCase): void {
    const ran = test.diagnostic();
    if (ran === undefined) return;
    const { state, errors = [] } = test.result();
    const record: TestRecord = {
      file: test.module.moduleId,
      name: namesOf(test).join(" "),
      from: ran.startTime,
      to: ran.startTime + ran.duration,
      failure: state === "failed" ? (errors[0]?.message ?? "it failed") : null,
    };
    appendFileSync(this.#file, `${JSON.stringify(record)}\n`);
  }
}

/** As `vitest -t` puts a test's names together. */
function namesOf(test: TestCase): string[] {
  const names = [test.name];
  for (let { parent } = test; parent.type === "suite" && parent.parent !== undefined; { parent } = parent)
    names.unshift(parent.name ?? "");
  return names;
}
