// Every case of the table: what a server shows, what known hosts say of it, how strict one is, and what else has a say.
import { type Axis, type Case, every, few, most, product, titleOf, withLists } from "./axes.ts";
import { revocation } from "./list-cases.ts";

const keysAndCertificates: Case[] = [
  ...product(
    ["plain"],
    [
      "unknown",
      "known",
      "known, hashed",
      "known by a pattern",
      "changed",
      "changed, hashed",
      "another type",
      "known + another type",
      "@revoked key",
      "known + @revoked key",
      "known + @revoked other key",
      "@revoked key for others",
      "@cert-authority",
    ],
    every,
  ),
  ...product(
    ["good"],
    [
      "unknown",
      "known",
      "changed",
      "@revoked key",
      "@cert-authority",
      "@cert-authority for others",
      "@cert-authority + known",
      "@cert-authority + changed",
      "@cert-authority + @revoked key",
      "@cert-authority + @revoked authority",
      "known + @revoked authority",
      "@revoked authority",
    ],
    every,
  ),
  ...product(
    ["good ecdsa", "good rsa"],
    ["unknown", "@cert-authority", "known", "@cert-authority + @revoked authority"],
    few,
  ),
  ...product(
    ["expired", "not yet valid", "other principal", "no principals", "user's", "other authority"],
    [
      "unknown",
      "known",
      "changed",
      "@cert-authority",
      "@cert-authority + known",
      "@cert-authority + changed",
    ],
    most,
  ),
  ...product(
    ["expired", "other authority"],
    ["@cert-authority + @revoked authority", "@cert-authority + @revoked key"],
    most,
  ),
];

const commands: Case[] = [
  "prints nothing",
  "prints the key",
  "prints the key, slowly",
  "prints another key",
  "prints the key for another host",
  "prints the key by the bare name",
  "prints @revoked key",
  "prints @cert-authority",
  "prints @revoked authority",
  "prints the key when asked for the order alone",
  "prints what the key is, if it is plain",
  "prints garbage",
  "prints the key, and fails",
  "fails",
  "is killed",
  "is missing",
].flatMap((command) =>
  [
    ...product(["plain"], ["unknown"], ["yes", "accept-new"]),
    ...product(["plain"], ["known"], ["yes"]),
    ...product(["good"], ["unknown"], ["yes", "accept-new"]),
    ...product(["good"], ["@cert-authority"], ["yes"]),
  ].map((one) => ({ ...one, command })),
);

const commandsAndLists: Case[] = ["prints the key", "prints @cert-authority"].flatMap((command) =>
  withLists(
    ["list of others", "KRL of others", "list of the authority", "KRL of the serial", "a line of garbage"],
    product(["good"], ["unknown"], ["yes"]),
  ).map((one) => ({ ...one, command })),
);

const withMore = (more: readonly string[], cases: Axis<Case>): Case[] =>
  cases.map((one) => ({ ...one, more: [...more, ...(one.more ?? [])] }));

const names: Case[] = [
  ...product(
    ["plain"],
    [
      "known by the bare name",
      "changed by the bare name",
      "known by the bare name + changed",
      "@revoked key by the bare name",
      "known + @revoked key by the bare name",
    ],
    ["yes", "accept-new", "ask: nobody", "no"],
  ),
  ...product(
    ["good"],
    [
      "known by the bare name",
      "@cert-authority by the bare name",
      "@cert-authority by the bare name + changed",
    ],
    ["yes", "accept-new"],
  ),
  ...withMore(
    ["HostKeyAlias=db"],
    product(
      ["plain"],
      ["unknown", "known", "known by an alias", "changed by an alias", "changed"],
      ["yes", "ask: yes", "accept-new"],
    ),
  ),
  ...withMore(
    ["HostKeyAlias=DB"],
    product(["plain", "good"], ["known by an alias", "@cert-authority by an alias"], ["yes", "accept-new"]),
  ),
  ...withMore(
    ["HostKeyAlias=db"],
    product(["good", "other principal"], ["@cert-authority", "@cert-authority by an alias"], few),
  ),
  ...withMore(
    ["HostKeyAlias=elsewhere"],
    product(["good", "other principal"], ["@cert-authority", "@cert-authority for others"], few),
  ),
];

const localhost: Case[] = withMore(
  ["NoHostAuthenticationForLocalhost=yes"],
  [
    ...product(["plain", "good"], ["unknown", "changed", "@revoked key"], ["yes"]),
    ...withLists(["list of the key", "a line of garbage"], product(["plain"], ["unknown"], ["yes"])),
    ...withMore(
      ["HostKeyAlias=db"],
      product(["plain"], ["unknown", "changed by an alias", "known by an alias"], ["yes"]),
    ),
    ...withMore(["HostName=0.0.0.0"], product(["plain"], ["unknown"], ["yes"])),
  ],
);

// 0.0.0.0 leads to a loopback address, and is none.
const addresses: Case[] = withMore(
  ["CheckHostIP=yes", "HostName=0.0.0.0", "HostKeyAlias=db"],
  [
    ...product(
      ["plain"],
      [
        "unknown",
        "known by an alias",
        "changed by an alias",
        "address known",
        "address changed",
        "address @revoked",
        "known by an alias + address known",
        "known by an alias + address changed",
        "known by an alias + address @revoked",
        "changed by an alias + address changed",
      ],
      ["yes", "ask: yes", "accept-new", "no"],
    ),
    ...product(
      ["good"],
      ["@cert-authority", "@cert-authority + address changed", "known by an alias + address changed"],
      few,
    ),
  ],
);

const others: Case[] = [
  ...withMore(
    ["CheckHostIP=yes"],
    product(["plain", "good"], ["known", "unknown", "changed", "@cert-authority"], few),
  ),
  ...["VerifyHostKeyDNS=yes", "VerifyHostKeyDNS=ask"].flatMap((dns) =>
    withMore([dns], product(["plain", "good"], ["known", "unknown", "changed", "@cert-authority"], few)),
  ),
  ...["ProxyJump=jump", "ProxyJump=stranger"].flatMap((jump) =>
    withMore(
      [jump],
      [
        ...product(["plain"], ["known", "unknown", "changed"], few),
        ...product(["good"], ["@cert-authority", "@cert-authority + @revoked authority"], few),
      ],
    ),
  ),
  ...withMore(
    ["ProxyJump=jump"],
    withLists(["list of the key", "a line of garbage"], product(["plain"], ["known"], ["yes"])),
  ),
  ...withMore(
    ["ProxyCommand=nc 127.0.0.1 %p"],
    [
      ...product(["plain"], ["known", "unknown", "changed"], few),
      ...withMore(["HostName=a*b"], product(["plain"], ["unknown"], ["accept-new", "no", "ask: yes"])),
      ...withMore(["NoHostAuthenticationForLocalhost=yes"], product(["plain"], ["unknown"], ["yes"])),
      ...withMore(["CheckHostIP=yes"], product(["plain"], ["known", "unknown"], few)),
    ],
  ),
  ...["UserKnownHostsFile=none", "UserKnownHostsFile=/dev/null"].flatMap((file) =>
    withMore([file], product(["plain", "good"], ["unknown"], every)),
  ),
  ...withMore(
    ["RequiredRSASize=3072"],
    product(["plain rsa", "good rsa", "plain"], ["known", "@cert-authority", "unknown"], few),
  ),
  ...withMore(
    ["HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com"],
    product(["good", "expired", "plain"], ["@cert-authority", "known", "unknown"], few),
  ),
  ...withMore(
    ["HostKeyAlgorithms=ssh-ed25519"],
    product(["good"], ["@cert-authority", "known", "@cert-authority + @revoked authority"], few),
  ),
  ...withMore(
    ["CASignatureAlgorithms=rsa-sha2-512"],
    product(["good"], ["@cert-authority", "@cert-authority + known"], few),
  ),
  ...withMore(["HashKnownHosts=yes"], product(["plain"], ["unknown", "changed"], ["accept-new"])),
];

/** All of them, each once. */
export const cases: readonly Case[] = [
  ...new Map(
    [
      ...keysAndCertificates,
      ...revocation,
      ...commands,
      ...commandsAndLists,
      ...names,
      ...localhost,
      ...addresses,
      ...others,
    ].map((one) => [titleOf(one), one]),
  ).values(),
];
