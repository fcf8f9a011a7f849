#pragma once
// Every verb there is. A new verb is a file with a function like these, and a line in add_verbs().

#include "agent/journal/journal.h"
#include "agent/verbs/services.h"

namespace ca {

[[nodiscard]] Verb build_and_run_instance(Services& s);
[[nodiscard]] Verb terminate_instance(Services& s);
[[nodiscard]] Verb start_instance(Services& s);
[[nodiscard]] Verb stop_instance(Services& s);
[[nodiscard]] Verb reboot_instance(Services& s);
[[nodiscard]] Verb rescue_instance(Services& s);
[[nodiscard]] Verb unrescue_instance(Services& s);
[[nodiscard]] Verb rebuild_instance(Services& s);
[[nodiscard]] Verb snapshot_instance(Services& s);
[[nodiscard]] Verb backup_instance(Services& s);
[[nodiscard]] Verb shelve_instance(Services& s);
[[nodiscard]] Verb shelve_offload_instance(Services& s);
[[nodiscard]] Verb unshelve_instance(Services& s);

// The image that a rescue boots from: the ordered one, [libvirt] rescue_image_id, or the instance's own.
[[nodiscard]] Result<ImageMeta> rescue_image_for(Services& s, const Instance& instance, const Uuid& ordered);
// The image that a rebuild lays the instance's disk anew from; kInvalid where the flavor is too small for it.
[[nodiscard]] Result<ImageMeta> rebuild_image_for(Services& s, const Instance& instance, const Uuid& id);
[[nodiscard]] Verb pause_instance(Services& s);
[[nodiscard]] Verb unpause_instance(Services& s);
[[nodiscard]] Verb suspend_instance(Services& s);
[[nodiscard]] Verb resume_instance(Services& s);
[[nodiscard]] Verb soft_delete_instance(Services& s);
[[nodiscard]] Verb restore_instance(Services& s);
[[nodiscard]] Verb trigger_crash_dump(Services& s);
[[nodiscard]] Verb set_admin_password(Services& s);
[[nodiscard]] Verb resize_instance(Services& s);
[[nodiscard]] Verb confirm_resize(Services& s);
[[nodiscard]] Verb revert_resize(Services& s);
[[nodiscard]] Verb attach_volume(Services& s);
[[nodiscard]] Verb detach_volume(Services& s);
[[nodiscard]] Verb extend_volume(Services& s);

// `s` outlives the journal.
void add_verbs(Journal& journal, Services& s);

// Query get_diagnostics: what nova's microversion 2.48 shows. kConflict while the instance does not run.
[[nodiscard]] Result<Json> get_diagnostics(Services& s, const Message& message);

// Query get_console_output: {"output": "..."}; tail_length in lines, none or -1: all that is kept (the last 1 MiB).
[[nodiscard]] Result<Json> get_console_output(Services& s, const Message& message);

}  // namespace ca
