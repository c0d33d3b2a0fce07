// Logging in to every server: with a key of each algorithm, and with files of each form; beside ssh.
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { askpass } from "../support/askpass.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { tempDir } from "../support/temp-dir.ts";
import { algorithms, type Form, forms, type KeyFile, PASSPHRASE } from "./keys.ts";
import { allSoftware, describePeer, type Peer, type Software } from "./peers.ts";
import { byBoth } from "./try-login.ts";
import { compare, itOf } from "./verdict.ts";

const [own, ...others] = await allSoftware();
if (own !== undefined) loginsTo(own, [...algorithms, ...forms]);
for (const software of others) loginsTo(software, algorithms);

function loginsTo(software: Software, tried: readonly Form[]): void {
  describePeer(software)(software.name, () => {
    const keys = new Map<Form, KeyFile>();
    let remove: () => Promise<void>;
    let peer: Peer;
    let tund: Tund;

    beforeAll(async () => {
      const place = await tempDir();
      remove = () => place.remove();
      const made = tried.map(async (form, at) =>
        keys.set(form, await form.make(join(place.path, `key${at}`))),
      );
      await Promise.all(made);
      peer = await software.start({ authorized: [...keys.values()].map(({ publicKey }) => publicKey) });
      tund = await startTund({ env: { TUND_SSH_CONFIG: peer.sshConfig } });
    });
    afterAll(async () => {
      await tund?.stop();
      await peer?.stop();
      await remove?.();
    });

    for (const form of tried) {
      const at = { row: `a key of ${form.name}`, column: software.name };
      itOf(at)(at.row, async () => {
        const key = keys.get(form);
        const host = `key${[...keys.keys()].indexOf(form)}`;
        await peer.addHost(host, { IdentityFile: key?.path ?? "none" });
        const answers = await askpass(
          peer.directory,
          key?.isEncrypted === true ? [PASSPHRASE, PASSPHRASE] : [],
        );
        compare(at, await byBoth({ peer, tund, host, env: answers.env }));
      });
    }
  });
}
