// Every kind of forward over OpenSSH's servers, the machine's own and newer ones, beside ssh.
import { everyForwardOn } from "./forwards.ts";
import { allSoftware } from "./peers.ts";

everyForwardOn((await allSoftware()).filter(({ name }) => name.startsWith("OpenSSH")));
