/**
 * Node's HTTP for modules that roles load at their start. An `import` of `node:http` reads each of its exports, and one
 * of them (WebSocket) loads undici, which takes 60 ms of processor time in each process. Types cost nothing, so import
 * them as usual.
 */
export const http = process.getBuiltinModule('node:http');
export const https = process.getBuiltinModule('node:https');
