// What is known to be wrong yet. Each test of these is expected to fail, and its line goes when it does no longer.

/** A row of the table, on one server or on all that have it. */
export interface Awaited {
  row: string;
  column?: string;
  reason: string;
}

const IGNORE = "an IGNORE in an exchange of new keys ends the link";
const FORM = "ssh2's parser does not know this form of file";
const WORDS = "what the server says in a DISCONNECT is not told";

export const awaited: readonly Awaited[] = [
  { row: "check", column: "tinysshd", reason: "an unanswered keepalive is taken for no sign of life" },
  { row: "cancel -R", column: "dropbear", reason: "a port that the server keeps is not told" },
  {
    row: "-R 0:host:port",
    column: "asyncssh",
    reason:
      "it opens channels for port 0, which ssh takes no more than tund; that they are refused is not told",
  },
  { row: "new keys, asked for by the server", column: "asyncssh", reason: IGNORE },
  { row: "new keys, asked for by both", column: "asyncssh", reason: IGNORE },
  { row: "an agent that answers after ConnectTimeout", reason: "ConnectTimeout limits authentication too" },
  { row: "a key of RSA in PKCS#8", reason: FORM },
  { row: "a key of RSA in PKCS#8 with a passphrase", reason: FORM },
  { row: "a key of ECDSA in PKCS#8", reason: FORM },
  { row: "a key of ECDSA of openssl ecparam", reason: FORM },
  { row: "a key of Ed25519 before other text", reason: FORM },
  { row: "a DISCONNECT during the login, without a language tag", reason: WORDS },
  { row: "a DISCONNECT after the login, with a language tag", reason: WORDS },
  { row: "a DISCONNECT after the login, without a language tag", reason: WORDS },
];
