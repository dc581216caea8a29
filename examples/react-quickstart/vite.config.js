import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
	plugins: [react()],
	// The quick start's server; the page opens its socket at its own address.
	server: { proxy: { "/ws": { target: process.env.AGENTWIRE_SERVER ?? "http://127.0.0.1:8080", ws: true } } },
});
