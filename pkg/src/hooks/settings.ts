/** How components follow a thread. */
import type { ConversationOptions } from "../conversation/store.js";
import type { From } from "../thread/from.js";

/** How to follow a thread in components. The first ones that a thread is opened with hold. */
export interface ThreadSettings<C = undefined> extends ConversationOptions<C> {
	/** Where the thread begins. @default the position of `initial`, or `"start"` */
	readonly from?: From | undefined;
}
