// Errors, rendered once: what was thrown → HTTP status and `{ code, message, details? }`.
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import type { Problem } from "../../shared/records.ts";
import { errors, messageOf, TundError } from "../../shared/errors.ts";

/** The error handler of the API: what is nobody's fault but ours is logged whole and told in one word. */
export function renderError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = toTundError(error);
  if (failure.code === "INTERNAL") request.log.error({ err: error, url: request.url }, "request failed");
  const problem: Problem = { code: failure.code, message: failure.message };
  if (failure.details !== undefined) problem.details = failure.details;
  return reply.code(errors[failure.code].status).send(problem);
}

/** Translates what fastify and the rooms below throw. Pure. */
function toTundError(error: unknown): TundError {
  if (error instanceof TundError) return error;
  const { statusCode = 500, validation, validationContext } = error as FastifyError;
  if (validation !== undefined)
    return new TundError("INVALID_REQUEST", explain(validation, validationContext));
  if (statusCode === 413) return new TundError("REQUEST_TOO_LARGE", "the body is larger than 64 KiB");
  if (statusCode < 500) return new TundError("INVALID_REQUEST", messageOf(error));
  return new TundError("INTERNAL", "tund failed inside; its log says more", { cause: error });
}

// Ajv says where with a JSON pointer and what in words; what would be right is in its parameters.
function explain(validation: NonNullable<FastifyError["validation"]>, context = "request"): string {
  return validation
    .map(({ instancePath, message, params }) => {
      const { additionalProperty, allowedValues } = params as {
        additionalProperty?: string;
        allowedValues?: string[];
      };
      const more = additionalProperty ?? allowedValues?.join(", ");
      return `${`${context}${instancePath}`.replaceAll("/", ".")} ${message}${more === undefined ? "" : `: ${more}`}`;
    })
    .join("; ");
}
