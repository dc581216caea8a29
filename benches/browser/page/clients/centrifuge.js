import "../start.js";
import { Centrifuge } from "centrifuge";
import { address, begin, take } from "../harness.js";

begin(() => {
	const client = new Centrifuge(address.url("centrifuge"));
	const subscription = client.newSubscription("bench");
	subscription.on("publication", ({ data }) => take(data));
	subscription.subscribe();
	client.connect();
});
