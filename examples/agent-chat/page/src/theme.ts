/** Light or dark: as the system says, until somebody chooses. */
import { Store } from "./store.ts";

export type Theme = "light" | "dark";

const KEY = "agent-chat.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const theme = new Store<Theme>(present());
system.addEventListener("change", () => theme.set(present()));

export function toggleTheme(): void {
	const next: Theme = theme.get() === "dark" ? "light" : "dark";
	document.documentElement.dataset["theme"] = next;
	try {
		localStorage.setItem(KEY, next);
	} catch {
		// Without storage it lasts as long as the page.
	}
	theme.set(next);
}

function present(): Theme {
	const chosen = document.documentElement.dataset["theme"];
	if (chosen === "light" || chosen === "dark") return chosen;
	return system.matches ? "dark" : "light";
}
