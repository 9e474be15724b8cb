/** Synchronous hashes: the operating system's in production, pure ones in simulator and browser. They never fail. */
export interface Hash {
  /** CRC-32 (IEEE 802.3), as an unsigned number; `previous` continues an earlier one. */
  crc32(bytes: Uint8Array, previous?: number): number;
  /** The same of the bytes from `from` to before `to`: a view of them may cost more than their checksum. */
  crc32Within(bytes: Uint8Array, from: number, to: number): number;
  /** SHA-256, 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array;
}
