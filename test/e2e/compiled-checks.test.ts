// The built daemon has its checks from the build: they are to be those of the contract.
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { contract } from "../../shared/contract.ts";
import { routes, type Verb } from "../../shared/routes.ts";
import { startTund } from "../support/daemon.ts";

const takes = (verb: Verb, part: "querystring" | "body"): boolean => part in contract[verb];

/** What the daemon says to a request with a field too many, and an id too long. */
function refusal(socketPath: string, verb: Verb): Promise<{ status: number | undefined; body: unknown }> {
  const { method, url } = routes[verb];
  const path =
    url.replace(":id", "x".repeat(65)).replace(":host", "x") +
    (takes(verb, "querystring") ? "?colour=red" : "");
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, method, agent: false }, (answer) => {
      text(answer).then(
        (body) => resolve({ status: answer.statusCode, body: JSON.parse(body) as unknown }),
        reject,
      );
    });
    asked.once("error", reject);
    if (!takes(verb, "body")) asked.end();
    else asked.setHeader("content-type", "application/json").end('{"colour":"red"}');
  });
}

it("the built daemon refuses, for every verb that takes something, what the contract does not have", async () => {
  const tund = await startTund();
  onTestFinished(async () => void (await tund.stop()));
  // All but those that take a host alone: any host that finds its route is one.
  const verbs = (Object.keys(routes) as Verb[]).filter(
    (verb) => takes(verb, "querystring") || takes(verb, "body") || routes[verb].url.includes(":id"),
  );
  expect(verbs.length).toBeGreaterThan(10);
  for (const verb of verbs)
    expect([verb, await refusal(tund.socket, verb)]).toMatchObject([
      verb,
      { status: 400, body: { code: "INVALID_REQUEST" } },
    ]);
});
