/** Objects outside of React that components show: each dispatches `change` when what it answers has changed. */

export class Observed extends EventTarget {
	protected notify(): void {
		this.dispatchEvent(new Event("change"));
	}
}
