import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
	plugins: [svelte()],
	// The quick start's server; the page opens its socket at its own address.
	server: { proxy: { "/ws": { target: process.env.AGENTWIRE_SERVER ?? "http://127.0.0.1:8080", ws: true } } },
});
