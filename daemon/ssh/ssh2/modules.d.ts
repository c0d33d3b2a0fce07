// Types of the parts of ssh2 that this folder touches and @types/ssh2 leaves out.
declare module "ssh2/lib/protocol/crypto.js" {
  export const bindingAvailable: boolean;
}
declare module "ssh2/package.json" {
  const packageJson: { version: string };
  export default packageJson;
}
declare module "ssh2/lib/protocol/constants.js" {
  export const DISCONNECT_REASON_BY_VALUE: Record<number, string | undefined>;
  export const DEFAULT_KEX: string[];
  export const SUPPORTED_CIPHER: string[];
  export const SUPPORTED_KEX: string[];
  export const SUPPORTED_MAC: string[];
  export const SUPPORTED_SERVER_HOST_KEY: string[];
}
declare module "ssh2/lib/protocol/handlers.js" {
  const handlers: Record<number, ((protocol: unknown, payload: Buffer) => void) | undefined>;
  export default handlers;
}
declare module "ssh2/lib/protocol/utils.js" {
  export function sendPacket(protocol: unknown, packet: Buffer): boolean;
  export function doFatalError(protocol: unknown, message: string, level?: string, reason?: number): number;
}
declare module "ssh2/lib/protocol/kex.js" {
  interface List {
    array: string[];
  }
  interface Direction {
    cipher: List;
    mac: List;
    compress: List;
    lang: List;
  }
  export interface KexLists {
    kex: List;
    serverHostKey: List;
    cs: Direction;
    sc: Direction;
  }
  type Arrays = Record<keyof Direction, string[]>;
  export class KexInit {
    constructor(offer: { kex: string[]; serverHostKey: string[]; cs: Arrays; sc: Arrays });
    lists: KexLists;
  }
}
