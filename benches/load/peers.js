/** The packages of the other benchmark: one lock file has the versions of all peers. */
import { createRequire } from "node:module";

const require = createRequire(new URL("../browser/package.json", import.meta.url));

export const { Server } = require("socket.io");
export const { WebSocket } = require("ws");
