/**
 * Pseudo-random numbers whose whole state is plain data, so that a run is repeated from its seed.
 *
 * Owns: the generator (sfc32, Chris Doty-Humphrey's small fast counter, 128 bits of state) and named streams: a draw in one
 * stream does not shift another. Never for secrets. Called by protocol cores, the execution context and the simulator.
 */

export interface Random {
  a: number;
  b: number;
  c: number;
  counter: number;
}

/** A stream of its own for each (seed, name). `seed` is any safe integer. */
export function randomStream(seed: number, name: string): Random {
  const random: Random = { a: seed | 0, b: Math.floor(seed / 0x1_0000_0000) | 0, c: hashName(name), counter: 1 };
  for (let round = 0; round < 15; round += 1) nextUint32(random);
  return random;
}

/** The number that 6 bytes of entropy make. */
export function seedOf(bytes: Uint8Array): number {
  let seed = 0;
  for (const byte of bytes.subarray(0, 6)) seed = seed * 256 + byte;
  return seed;
}

/** Uniform in [0, 2^32). */
export function nextUint32(random: Random): number {
  const sum = (((random.a + random.b) | 0) + random.counter) | 0;
  random.counter = (random.counter + 1) | 0;
  random.a = random.b ^ (random.b >>> 9);
  random.b = (random.c + (random.c << 3)) | 0;
  random.c = ((random.c << 21) | (random.c >>> 11)) + sum;
  random.c |= 0;
  return sum >>> 0;
}

/** Uniform in [0, 1) with 53 bits. */
export function nextFraction(random: Random): number {
  return ((nextUint32(random) >>> 5) * 0x400_0000 + (nextUint32(random) >>> 6)) / 0x20_0000_0000_0000;
}

/** A whole number in [min, max], both included. */
export function nextBetween(random: Random, min: number, max: number): number {
  return min + Math.floor(nextFraction(random) * (max - min + 1));
}

/** FNV-1a, 32 bits. */
function hashName(name: string): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x0100_0193);
  return hash | 0;
}
