// Types of the parts of ssh2 that ssh2-private.ts touches and @types/ssh2 leaves out.
declare module "ssh2/lib/protocol/crypto.js" {
  export const bindingAvailable: boolean;
}
declare module "ssh2/lib/protocol/Protocol.js" {
  const Protocol: { prototype: { ping?: unknown } };
  export default Protocol;
}
declare module "ssh2/package.json" {
  const packageJson: { version: string };
  export default packageJson;
}
declare module "ssh2/lib/protocol/constants.js" {
  export const SUPPORTED_CIPHER: string[];
  export const SUPPORTED_KEX: string[];
  export const SUPPORTED_MAC: string[];
  export const SUPPORTED_SERVER_HOST_KEY: string[];
}
