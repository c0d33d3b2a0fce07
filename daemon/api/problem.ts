// Errors, rendered once: what was thrown → HTTP status and `{ code, message, details? }`.
import type { FastifyError, FastifyReply } from "fastify";
import { noNul } from "../../shared/no-nul.ts";
import type { Problem } from "../../shared/records.ts";
import { errors, failureOf, messageOf, TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";

/** Answers with what was thrown: what is nobody's fault but ours is logged whole. */
export function renderError(error: unknown, reply: FastifyReply, log: Log): FastifyReply {
  const failure = failureOf(refusalOf(error), log);
  const problem: Problem = { code: failure.code, message: failure.message };
  if (failure.details !== undefined) problem.details = failure.details;
  return reply.code(errors[failure.code].status).type("application/json").send(problem);
}

// What fastify throws at a request that is wrong; anything else is as it was.
function refusalOf(error: unknown): unknown {
  if (error instanceof TundError || typeof error !== "object" || error === null) return error;
  const { statusCode = 500, validation, validationContext } = error as FastifyError;
  if (validation !== undefined)
    return new TundError("INVALID_REQUEST", explain(validation, validationContext));
  if (statusCode === 413) return new TundError("REQUEST_TOO_LARGE", "the body is larger than 64 KiB");
  if (statusCode < 500) return new TundError("INVALID_REQUEST", messageOf(error));
  return error;
}

// Ajv says where with a JSON pointer and what in words; what would be right is in its parameters.
function explain(validation: NonNullable<FastifyError["validation"]>, context = "request"): string {
  return validation
    .map(({ instancePath, message, params }) => {
      const { additionalProperty, allowedValues, pattern } = params as {
        additionalProperty?: string;
        allowedValues?: string[];
        pattern?: string;
      };
      const where = `${context}${instancePath}`.replaceAll("/", ".");
      if (pattern === noNul.pattern) return `${where} must not have a NUL in it`;
      const more = additionalProperty ?? allowedValues?.join(", ");
      return `${where} ${message}${more === undefined ? "" : `: ${more}`}`;
    })
    .join("; ");
}
