// The bill of materials (CycloneDX) of what is shipped: npm's own of the lockfile, less what is not in the packages.
import { execFileSync } from "node:child_process";
import { licenceOf } from "./licences.mjs";

/**
 * Makes it, without anything that two builds of one commit would not have in common: no serial number, time, directory, or
 * version of npm.
 * @param root the project's directory
 * @param directories of npm packages in it
 * @returns the text
 * @throws Error when npm cannot be run, or does not know one of the packages in the version that is installed
 */
export function billOfMaterials(root, directories) {
  const bill = JSON.parse(
    npm(root, "sbom", "--sbom-format=cyclonedx", "--package-lock-only", "--offline", "--no-update-notifier"),
  );
  const wanted = directories.map((directory) => {
    const { name, version } = licenceOf(root, directory);
    return `${name}@${version}`;
  });
  const components = [...new Set(wanted)].toSorted(byName).map((reference) => {
    const found = bill.components.find((one) => one["bom-ref"] === reference);
    if (found === undefined)
      throw new Error(`the lockfile has no ${reference}: 'npm ci' installs what it has`);
    // It says what it is to us; to whoever has the package, all of it is there.
    return { ...plain(found), scope: "required" };
  });
  const kept = new Set(components.map((one) => one["bom-ref"]));
  const { component } = bill.metadata;
  const own = component["bom-ref"];
  const dependencies = bill.dependencies
    .filter(({ ref }) => ref === own || kept.has(ref))
    .map(({ ref, dependsOn }) => ({
      ref,
      dependsOn: dependsOn.filter((one) => kept.has(one)).toSorted(byName),
    }));
  return `${JSON.stringify(
    {
      $schema: bill.$schema,
      bomFormat: bill.bomFormat,
      specVersion: bill.specVersion,
      version: bill.version,
      metadata: {
        lifecycles: [{ phase: "build" }],
        component: { ...plain(component), type: "application", name: "tunctl" },
      },
      components,
      dependencies,
    },
    null,
    2,
  )}\n`;
}

const byName = (one, other) => (one < other ? -1 : Number(one > other));

/** Less what npm knows of the project and a package's user has no use for. */
const plain = (component) => {
  const more = new Set(["properties", "externalReferences"]);
  return Object.fromEntries(Object.entries(component).filter(([name]) => !more.has(name)));
};

function npm(root, ...args) {
  // The npm that runs us, if one does.
  const path = process.env.npm_execpath;
  const [program, first] = path?.endsWith(".js") ? [process.execPath, [path]] : ["npm", []];
  try {
    return execFileSync(program, [...first, ...args], {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 1 << 28,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    throw new Error(`'npm ${args.join(" ")}' failed: ${error.stderr || error.message}`, { cause: error });
  }
}
