import { keyType } from "../../daemon/ssh/host-key.ts";

/** A blob that has the form of a public key (RFC 4253 section 6.6): its type, and a field that tells it from others. */
export const keyBlob = (type: string, body: string): Buffer =>
  Buffer.concat(
    [type, body].flatMap((field) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(field));
      return [length, Buffer.from(field)];
    }),
  );

/** A key as known_hosts and authorized_keys have it: `TYPE BASE64`. */
export const keyText = (key: Buffer): string => `${keyType(key)} ${key.toString("base64")}`;
