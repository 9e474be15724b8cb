/**
 * What one operation is, the same for the product and for the raw baseline, so that their ratio means something.
 *
 * Owns: sizes and the bytes of the raw baseline's frames. Called by everything else in bench/.
 *
 *   request   u32 bytes after this | u32 id | 16 bytes key | value, 128 bytes unless a job says otherwise
 *   reply     u32 bytes after this | u32 id | f64 position
 */
export const keyBytes = 16;
export const valueBytes = 128;
export const requestBytesOf = (bytesOfValue) => 4 + 4 + keyBytes + bytesOfValue;
export const replyBytes = 4 + 4 + 8;
/** Keys are drawn from so many; a working set that fits in memory, as a service's would. */
export const keyCount = 100_000;

/** 16 characters, different for each number below `keyCount`. */
export function keyOf(number) {
  return `key:${String(number).padStart(keyBytes - 4, "0")}`;
}

/** What operations are, where a job says nothing else. */
export const usualShape = { keys: keyCount, valueBytes, operation: "set" };

/** The key of the n-th operation: neighbours lie far apart, and `keys` operations in a row have each key once (it is no multiple of 7919). */
export const keyFor = (number, keys) => keyOf((number * 7919) % keys);

export const value = "v".repeat(valueBytes);

/** Cuts a byte stream into frames of one fixed size, and calls back once for each chunk with all whole frames in it. */
export function fixedFrames(bytes, take) {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const whole = data.length - (data.length % bytes);
    rest = data.subarray(whole);
    if (whole > 0) take(data.subarray(0, whole));
  };
}
