// What ssh2 reports, translated once: pure, so that a table can test it.
import { clipped } from "../../shared/clipped.ts";
import { listed, MOST_SAID, names } from "./said.ts";
import { type ErrorCode, errnoOf, messageOf, TundError } from "../../shared/errors.ts";

/** What ssh2 hangs on its errors. */
interface Ssh2Error extends Pick<Error, "message"> {
  level?: string | undefined;
  reason?: number | string;
}

/** Where a connection was when it failed. */
export interface Stage {
  /** `user@hostname:port`, for the message */
  where: string;
  phase: "handshake" | "authentication" | "established";
  /** what both sides had to offer, of what was compared last */
  offers?: { ours: string; theirs: string } | undefined;
}

/** The SSH_MSG_DISCONNECT reason code (RFC 4253 section 11.1) that means a refusal and not a loss, whatever the words. */
const NO_MORE_AUTH_METHODS_AVAILABLE = 14;

/** Translates an error that ended a connection, or kept it from coming up. */
export function connectionFailure(error: unknown, { where, phase, offers }: Stage): TundError {
  if (error instanceof TundError) return error;
  const { level } = error as Ssh2Error;
  const message = clipped(messageOf(error), MOST_SAID);
  const make = (code: ErrorCode, text: string) => new TundError(code, text, { cause: error });
  if (phase !== "established" && (level === "client-authentication" || isRefusal(error)))
    return make("AUTH_FAILED", `${where} refused authentication: ${message}`);
  if (phase === "handshake" && /no matching/i.test(message))
    return make("KEX_FAILED", `${where} and tund have no algorithm in common: ${message}${sides(offers)}`);
  if (errnoOf(error) === "ECONNRESET" || errnoOf(error) === "EPIPE")
    return make("CONNECTION_LOST", `${where} reset the connection`);
  return make("CONNECTION_LOST", loss(where, phase, { level, message }));
}

function loss(where: string, phase: Stage["phase"], { level, message }: Ssh2Error): string {
  if (phase === "established")
    return `the connection to ${where} was lost: ${level === "handshake" ? "no new keys: " : ""}${message}`;
  // It was we who ended it.
  return level === "protocol" || level === "handshake"
    ? `no connection to ${where}: ${message}`
    : `${where} ended the connection during ${phase}: ${message}`;
}

const sides = (offers: Stage["offers"]): string =>
  offers === undefined
    ? ""
    : `; it offers ${listed(names(offers.theirs.split(","))) || "nothing"}; tund offers ${listed(offers.ours.split(","))}`;

// OpenSSH says so with code 2, PROTOCOL_ERROR, which means that the connection is broken where other words come with it.
const isRefusal = (error: unknown): boolean =>
  /too many authentication failures/i.test(messageOf(error)) ||
  (error as { code?: unknown }).code === NO_MORE_AUTH_METHODS_AVAILABLE;

/** Whether a login came to its end and was refused; not one that was not answered by whoever was asked. */
export const isRefusedLogin = (error: unknown): error is TundError =>
  error instanceof TundError &&
  (error.code === "AUTH_FAILED" || (error.code === "PROMPT_UNANSWERED" && triedIn(error).length > 0));

/** Whether a key was among those that a refused login was tried with. @param key as shownKey() has it */
export function wasTried(refused: TundError, key: string): boolean {
  const fingerprint = key.split(" ").at(-1) ?? key;
  return triedIn(refused).some((label) => label.includes(fingerprint));
}

function triedIn({ details }: TundError): string[] {
  const tried = details?.["tried"];
  return Array.isArray(tried) ? tried.map(String) : [];
}

// RFC 4254 section 5.1, spelled as OpenSSH's log spells them (channels.c, reason2txt).
const openFailures: Record<number, [ErrorCode, string]> = {
  1: ["CHANNEL_PROHIBITED", "administratively prohibited"],
  2: ["CHANNEL_CONNECT_FAILED", "connect failed"],
  3: ["CHANNEL_UNKNOWN_TYPE", "unknown channel type"],
  4: ["CHANNEL_RESOURCE_SHORTAGE", "resource shortage"],
};

/** Translates why a channel could not be opened: `connect failed: Connection refused`. */
export function channelFailure(error: unknown): TundError {
  if (error instanceof TundError) return error;
  const { reason } = error as Ssh2Error;
  const said = clipped(messageOf(error), MOST_SAID).replace("(SSH) Channel open failure: ", "");
  const known = typeof reason === "number" ? openFailures[reason] : undefined;
  if (known !== undefined) return new TundError(known[0], `${known[1]}: ${said}`, { cause: error });
  if (reason === "") return new TundError("CHANNEL_CONNECT_FAILED", said, { cause: error });
  return new TundError("CONNECTION_LOST", "the connection was lost while the channel was opening", {
    cause: error,
  });
}

/** That the server has ended a connection without a word. @param channels how many there were: sshd may end one that has none */
export const closedByServer = (channels: number): Error =>
  new Error(
    channels > 0
      ? "closed by the server"
      : "closed by the server while it carried nothing (an sshd with UnusedConnectionTimeout does that)",
  );
