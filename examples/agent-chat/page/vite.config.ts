import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
	base: "/",
	plugins: [react()],
	// The package is linked, and has a React of its own beside it for its tests.
	resolve: { dedupe: ["react", "react-dom"] },
	build: {
		outDir: "dist",
		target: "es2022",
		// Markdown and React are one download of a page that needs both at once.
		chunkSizeWarningLimit: 700,
	},
	server: {
		// `cargo xtask demo` prints its address; with it in AGENT_CHAT_DEMO, `npm run dev` works against that server.
		proxy: Object.fromEntries(["/demo", "/v1", "/faults"].map((path) => [path, process.env["AGENT_CHAT_DEMO"] ?? "http://127.0.0.1:8787"])),
		fs: { allow: [".", "../../../pkg"] },
	},
});
