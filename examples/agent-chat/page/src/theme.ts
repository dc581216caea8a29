/** Light or dark: as the system says, until somebody chooses. */
import { Observed } from "./observed.ts";

export type Theme = "light" | "dark";

const KEY = "agent-chat.theme";

class Themes extends Observed {
	readonly #system = matchMedia("(prefers-color-scheme: dark)");

	constructor() {
		super();
		this.#system.addEventListener("change", () => this.notify());
	}

	get present(): Theme {
		const chosen = document.documentElement.dataset["theme"];
		if (chosen === "light" || chosen === "dark") return chosen;
		return this.#system.matches ? "dark" : "light";
	}

	toggle(): void {
		const next: Theme = this.present === "dark" ? "light" : "dark";
		document.documentElement.dataset["theme"] = next;
		try {
			localStorage.setItem(KEY, next);
		} catch {
			// Without storage it lasts as long as the page.
		}
		this.notify();
	}
}

export const theme = new Themes();
