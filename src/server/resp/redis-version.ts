/** The version of Redis whose clients feel at home here: what INFO and HELLO answer. */
export const redisVersion = "7.0.0";
