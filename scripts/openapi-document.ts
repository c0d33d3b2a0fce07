// The control API as an OpenAPI document, from the routes that the server itself registers.
import swagger from "@fastify/swagger";
import Fastify from "fastify";
import packageJson from "../package.json" with { type: "json" };
import type { Handlers } from "../daemon/api/handlers.ts";
import { addRoutes } from "../daemon/api/server.ts";
import { Turns } from "../daemon/turns.ts";
import { systemClock } from "../shared/clock.ts";
import { routes } from "../shared/routes.ts";

const unused = (): Promise<never> => Promise.reject(new Error("the document describes, it does not serve"));

/** Builds the document. */
export async function openApi(): Promise<object> {
  const app = Fastify();
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "tund control API",
        version: packageJson.version,
        description:
          "HTTP with JSON over tund's Unix socket. Every answer carries the daemon's version in tund-version.",
      },
      servers: [{ url: "http://localhost", description: "the control socket" }],
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) =>
        (json["$id"] as string | undefined) ?? `def-${index}`,
    },
  });
  const handlers = Object.fromEntries(
    Object.keys(routes).map((verb) => [verb, unused]),
  ) as unknown as Handlers;
  addRoutes(app, handlers, new Turns(systemClock), () => true);
  await app.ready();
  return app.swagger();
}
