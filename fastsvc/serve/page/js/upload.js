// One form at a time on its way to the server.

import { send } from "./api.js";
import { alertUser } from "./notice.js";

export class Upload {
  share = null; // of the form that was sent; null while none is under way

  /** `changed()`: after each change of the share. */
  constructor(changed) {
    this.changed = changed;
  }

  /** Sends it; `accepted(answer)` where the server takes it, else the error is shown. */
  async send(path, form, accepted) {
    this.show(0);
    try {
      accepted(await send(path, form, (share) => this.show(share)));
    } catch (error) {
      alertUser(error);
    } finally {
      this.show(null);
    }
  }

  show(share) {
    this.share = share;
    this.changed();
  }
}
