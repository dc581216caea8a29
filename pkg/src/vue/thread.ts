// biome-ignore-all lint/correctness/useHookAtTopLevel: composables of Vue run once, and know no such rule
/** A thread that components share. */
import { type ComputedRef, computed, type InjectionKey, type MaybeRefOrGetter, toValue } from "vue";
import { missing } from "../hooks/given.js";
import type { ThreadSettings } from "../hooks/settings.js";
import { type SharedConversation, type SharedThread, sharedThread } from "../hooks/shared.js";
import { useClient } from "./client.js";
import { give, given } from "./given.js";
import { whileMounted } from "./source.js";

const THREAD: InjectionKey<ComputedRef<SharedThread<unknown>>> = Symbol("agentwire thread");

/** Says which thread the components below are about, and keeps it open. In `setup`. */
export function provideThread<C = undefined>(name: MaybeRefOrGetter<string>, settings?: ThreadSettings<C>): ComputedRef<SharedConversation<C>> {
	const shared = useShared(name, settings);
	give(THREAD, shared as ComputedRef<unknown> as ComputedRef<SharedThread<unknown>>);
	whileMounted(
		() => shared.value,
		(thread) => thread.retain(),
	);
	return shared;
}

/** A thread, kept open as long as the component is mounted. Without a name, the nearest one of `provideThread`. */
export function useThread<C = undefined>(name?: MaybeRefOrGetter<string>, settings?: ThreadSettings<C>): ComputedRef<SharedConversation<C>> {
	const shared = useShared(name, settings);
	whileMounted(
		() => shared.value,
		(thread) => thread.retain(),
	);
	return shared;
}

/** The thread of a name, or the nearest one. */
export function useShared<C>(name: MaybeRefOrGetter<string> | undefined, settings?: ThreadSettings<C>): ComputedRef<SharedThread<C>> {
	const client = useClient();
	const near = given(THREAD) as ComputedRef<unknown> as ComputedRef<SharedThread<C>> | undefined;
	if (name === undefined) return near ?? missing("the name of a thread, or provideThread() in it or above it");
	return computed(() => {
		const present = toValue(name);
		const isNear = near !== undefined && settings === undefined && near.value.client === client && near.value.name === present;
		return isNear ? near.value : sharedThread(client, present, settings);
	});
}
