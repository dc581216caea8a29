/** Reads a source into a ref. */
import { getCurrentInstance, onMounted, onScopeDispose, type ShallowRef, shallowRef, watch } from "vue";
import { type Equality, shallowEqual } from "../hooks/compare.js";
import { type Selector, type Source, selection } from "../hooks/selection.js";
import type { Unsubscribe } from "../shared/listeners.js";

/** A ref of what is selected, which follows another source as soon as there is one. It listens from when the component is mounted on. */
export function useSource<S, T>(source: () => Source<S>, select: Selector<S, T>, equal: Equality<T> = shallowEqual): Readonly<ShallowRef<T>> {
	const instance = getCurrentInstance();
	// What a server rendered is begun with as the server had it.
	const isHydrated = instance?.vnode.el != null;
	const first = source();
	const value = shallowRef(select(isHydrated ? first.getServerSnapshot() : first.getSnapshot())) as ShallowRef<T>;
	whileMounted(source, (present) => {
		const read = selection(present.getSnapshot, select, equal, { value: value.value });
		const update = (): void => void (value.value = read());
		// A component that changes threads shows nothing of the former one.
		update();
		const off = present.subscribe(update);
		update();
		return off;
	});
	return value;
}

/** Calls `begin` with what is there when the component is mounted, and with what comes in its place; its result ends that. */
export function whileMounted<S>(source: () => S, begin: (present: S) => Unsubscribe): void {
	let end: Unsubscribe | undefined;
	let isMounted = false;
	const restart = (): void => {
		isMounted = true;
		end?.();
		end = begin(source());
	};
	// A scope without a component is never mounted, and counts as such.
	if (getCurrentInstance() === null) restart();
	else onMounted(restart);
	// At once, before anything is rendered with it.
	watch(source, () => isMounted && restart(), { flush: "sync" });
	onScopeDispose(() => end?.());
}
