/** The wasm module as base64 (RFC 4648 section 4). */
export const wasmBase64: string;
