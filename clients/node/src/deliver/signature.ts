/** Signatures of Standard Webhooks (https://www.standardwebhooks.com): an HMAC-SHA-256 over the raw body. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { BridgeError } from "../errors.js";

const WINDOW_S = 300;
const MOST_SIGNATURES = 16;

export type Verdict = { readonly ok: true; readonly id: string } | { readonly ok: false; readonly status: 400 | 401; readonly why: string };

/** The bytes of a secret: base64 after the optional `whsec_`. */
export function secretOf(text: string): Buffer {
	const base64 = text.startsWith("whsec_") ? text.slice("whsec_".length) : text;
	const bytes = Buffer.from(base64, "base64");
	if (bytes.length < 16 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
		throw new BridgeError("bad_option", "`secret` must be at least 16 bytes in base64, as in the server's configuration: whsec_…");
	}
	return bytes;
}

/** The value of the header `webhook-signature`. */
export function sign(secret: Buffer, id: string, timestamp: string, body: Uint8Array): string {
	return `v1,${digest(secret, id, timestamp, body).toString("base64")}`;
}

/** Checks the three headers over the raw bytes of the body. */
export function verify(secrets: readonly Buffer[], headers: Pick<Headers, "get">, body: Uint8Array, nowMs: number = Date.now()): Verdict {
	const id = headers.get("webhook-id");
	const timestamp = headers.get("webhook-timestamp");
	const signatures = headers.get("webhook-signature");
	if (id === null || id === "" || timestamp === null || signatures === null)
		return refuse(400, "the headers webhook-id, webhook-timestamp and webhook-signature are needed");
	if (!/^\d{1,12}$/.test(timestamp)) return refuse(400, "webhook-timestamp is no number of seconds");
	const given = signatures
		.split(" ")
		.slice(0, MOST_SIGNATURES)
		.filter((text) => text.startsWith("v1,"))
		.map((text) => Buffer.from(text.slice("v1,".length), "base64"));
	// All are compared, each in constant time: how long it takes says nothing.
	let equal = false;
	for (const secret of secrets) {
		const expected = digest(secret, id, timestamp, body);
		for (const signature of given) if (signature.length === expected.length && timingSafeEqual(signature, expected)) equal = true;
	}
	if (!equal) return refuse(401, "no signature is right: compare the secret with the server's");
	if (Math.abs(nowMs / 1_000 - Number(timestamp)) > WINDOW_S) return refuse(401, "webhook-timestamp is more than 5 minutes away: compare the clocks");
	return { ok: true, id };
}

function digest(secret: Buffer, id: string, timestamp: string, body: Uint8Array): Buffer {
	return createHmac("sha256", secret).update(`${id}.${timestamp}.`).update(body).digest();
}

function refuse(status: 400 | 401, why: string): Verdict {
	return { ok: false, status, why };
}
