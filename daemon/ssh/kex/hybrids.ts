// Hybrid post-quantum key exchanges: which there are. Each is X25519 and a key encapsulation mechanism side by side, in the
// messages of curve25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex, draft-ietf-sshm-ntruprime-ssh): whoever records the
// connection has to break both.

export type Kem = "mlkem768" | "sntrup761";

export interface Hybrid {
  /** as it is negotiated */
  name: string;
  kem: Kem;
  /** of the exchange, and of the secrets that are joined */
  hash: "sha256" | "sha512";
}

/** In the order in which OpenSSH 10 prefers them. */
export const hybrids: readonly Hybrid[] = [
  { name: "mlkem768x25519-sha256", kem: "mlkem768", hash: "sha256" },
  { name: "sntrup761x25519-sha512", kem: "sntrup761", hash: "sha512" },
  { name: "sntrup761x25519-sha512@openssh.com", kem: "sntrup761", hash: "sha512" },
];

/** How many bytes each part has (FIPS 203 table 3; draft-josefsson-ntruprime-streamlined); a secret key as our worker writes it. */
export const sizes: Readonly<Record<Kem, { publicKey: number; secretKey: number; ciphertext: number }>> = {
  mlkem768: { publicKey: 1184, secretKey: 2400, ciphertext: 1088 },
  sntrup761: { publicKey: 1158, secretKey: 1763, ciphertext: 1039 },
};

/** Bytes of the secret that either of them gives. */
export const SECRET_BYTES = 32;

/** Whether what goes over a link whose keys were exchanged so stays secret from a quantum computer. */
export const isPostQuantum = (name: string): boolean => hybrids.some((hybrid) => hybrid.name === name);
