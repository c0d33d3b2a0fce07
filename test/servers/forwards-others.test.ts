// Every kind of forward over servers that are not OpenSSH, beside ssh.
import { everyForwardOn } from "./forwards.ts";
import { allSoftware } from "./peers.ts";

everyForwardOn((await allSoftware()).filter(({ name }) => !name.startsWith("OpenSSH")));
