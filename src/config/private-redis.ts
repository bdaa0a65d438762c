/** The settings that name a Redis server. */
type Places = { url?: unknown; sentinel?: unknown; cluster?: unknown };

/** True if the daemon starts its own server. */
export function isPrivateRedis({ url, sentinel, cluster }: Places): boolean {
  return url === undefined && sentinel === undefined && cluster === undefined;
}
