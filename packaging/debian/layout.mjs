// What of the project is where in the package.

/** ssh2's compiled file beside the programs; in the package, a directory of that name with one for each Node. */
export const ciphers = "sshcrypto.node";

/** Files that go as they are: from the project to the package. */
export const plain = {
  "systemd/system/tund.service": "usr/lib/systemd/system/tund.service",
  "systemd/system/tund.socket": "usr/lib/systemd/system/tund.socket",
  "systemd/user/tund.service": "usr/lib/systemd/user/tund.service",
  "systemd/user/tund.socket": "usr/lib/systemd/user/tund.socket",
  "systemd/tund.sysusers": "usr/lib/sysusers.d/tunctl.conf",
  "packaging/debian/pick-ciphers.cjs": `usr/lib/tunctl/${ciphers}/pick-ciphers.cjs`,
  "packaging/debian/tund.default": "etc/default/tund",
  "dist/completions/tunctl": "usr/share/bash-completion/completions/tunctl",
  "dist/completions/_tunctl": "usr/share/zsh/vendor-completions/_tunctl",
  "dist/completions/tunctl.fish": "usr/share/fish/vendor_completions.d/tunctl.fish",
  "dist/sbom.cdx.json": "usr/share/doc/tunctl/sbom.cdx.json",
  "monitoring/alerts.yml": "usr/share/doc/tunctl/monitoring/alerts.yml",
  "monitoring/grafana-dashboard.json": "usr/share/doc/tunctl/monitoring/grafana-dashboard.json",
};

/** Files that go compressed. */
export const compressed = {
  "dist/man/tunctl.1": "usr/share/man/man1/tunctl.1.gz",
  "dist/man/tund.8": "usr/share/man/man8/tund.8.gz",
};

export const conffiles = ["/etc/default/tund"];
