/** React's own Fast Refresh, as bundlers use it. Import it before `react-dom`: it hooks into that when it is loaded. */
import { createRequire } from "node:module";

interface Refresh {
	injectIntoGlobalHook(global: object): void;
	register(component: unknown, id: string): void;
	/** Says which hooks a component has: another key, and its state is not kept. */
	setSignature(component: unknown, key: string): void;
	performReactRefresh(): unknown;
}

// It brings no types.
export const refresh: Refresh = createRequire(import.meta.url)("react-refresh/runtime") as Refresh;
refresh.injectIntoGlobalHook(globalThis);
