/** What components give to those below them, and to themselves: `inject` alone shows a component only what those above it provide. */
import { getCurrentInstance, type InjectionKey, inject, provide } from "vue";

const own = new WeakMap<object, Map<symbol, unknown>>();

export function give<T>(key: InjectionKey<T>, value: T): void {
	provide(key, value);
	const instance = getCurrentInstance();
	if (instance === null) return;
	const given = own.get(instance) ?? new Map<symbol, unknown>();
	own.set(instance, given.set(key, value));
}

/** What the component itself or the nearest one above it gave. */
export function given<T>(key: InjectionKey<T>): T | undefined {
	const instance = getCurrentInstance();
	const mine = instance === null ? undefined : (own.get(instance)?.get(key) as T | undefined);
	return mine ?? inject(key, undefined);
}
