// A resolver of hosts that asks the real ssh, as main.ts makes it.
import { Children } from "../../daemon/ssh/children.ts";
import { HostResolver } from "../../daemon/ssh/host-config.ts";
import { SshQueries } from "../../daemon/ssh/ssh-queries.ts";
import { Turns } from "../../daemon/turns.ts";
import { systemClock } from "../../shared/clock.ts";

type Options = Omit<ConstructorParameters<typeof HostResolver>[0], "queries">;

/** Makes one. */
export const makeResolver = (options: Options): HostResolver =>
  new HostResolver({
    ...options,
    queries: new SshQueries({
      children: new Children(null, process.env),
      files: options.files,
      home: options.person.home,
      slices: new Turns(systemClock),
      clock: systemClock,
    }),
  });
