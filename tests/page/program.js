// Programs that tests start.
import { createInterface } from "node:readline";

/** Resolves with what `child` says of itself: the first group of `pattern`, in a line of one of the streams. */
export function said(child, pattern, streams = [child.stdout, child.stderr]) {
	return new Promise((resolve, reject) => {
		let all = "";
		for (const stream of streams) {
			createInterface(stream).on("line", (line) => {
				all += `${line}\n`;
				const found = pattern.exec(line);
				if (found !== null) resolve(found[1]);
			});
		}
		child.once("error", reject);
		child.once("exit", () => reject(new Error(`${child.spawnfile} ended before it said what it should:\n${all}`)));
	});
}

/** The address that Vite's server prints. */
export const VITE = /(http:\/\/127\.0\.0\.1:\d+\/)/;

/** The address that a server of this project prints. */
export const LISTENING = /^listening on (.*)$/;
