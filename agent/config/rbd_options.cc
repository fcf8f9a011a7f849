// Options of disks and images in Ceph RBD.

#include <algorithm>

#include "agent/config/host_defaults.h"
#include "agent/config/options.h"

namespace ca {
namespace {

constexpr std::string_view kCephNameWords = "letters, digits, '.', '_' and '-', not starting with '.'";
constexpr std::string_view kPathOrNothingWords = "an absolute path without '.' or '..', or nothing";

bool is_ceph_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text[0] != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

bool is_ceph_name_or_empty(std::string_view text) { return text.empty() || is_ceph_name(text); }

}  // namespace

std::vector<Option> rbd_options() {
  return {
      {.section = "libvirt",
       .name = "images_rbd_pool",
       .member = &Config::images_rbd_pool,
       .default_text = "rbd",
       .accepts = is_ceph_name,
       .accepts_words = kCephNameWords,
       .help = "Ceph pool of instance disks with images_type = rbd."},
      {.section = "libvirt",
       .name = "images_rbd_ceph_conf",
       .member = &Config::images_rbd_ceph_conf,
       .default_text = "",
       .accepts = is_clean_path_or_empty,
       .accepts_words = kPathOrNothingWords,
       .help = "Ceph configuration file; empty: Ceph's own search path (/etc/ceph/ceph.conf)."},
      {.section = "libvirt",
       .name = "rbd_user",
       .member = &Config::rbd_user,
       .default_text = "",
       .accepts = is_ceph_name_or_empty,
       .accepts_words = kCephNameWords,
       .help = "Ceph user of the disks, without 'client.'; its key is read from the keyring that ceph.conf names."},
      {.section = "libvirt",
       .name = "rbd_secret_uuid",
       .member = &Config::rbd_secret_uuid,
       .default_text = "",
       .accepts = is_uuid_or_empty,
       .accepts_words = "a UUID in lower-case letters, or nothing",
       .help = "libvirt's secret with the key of rbd_user; the agent makes it. The same on hosts that guests move between."},
      {.section = "libvirt",
       .name = "rbd_connect_timeout",
       .member = &Config::rbd_connect_timeout,
       .default_text = "5",
       .min = 1,
       .max = 300,
       .help = "Time a connection to the Ceph cluster may take, seconds."},
      {.section = "libvirt",
       .name = "rbd_destroy_volume_retries",
       .member = &Config::rbd_destroy_volume_retries,
       .default_text = "12",
       .max = 100,
       .help = "Tries to remove a disk that is still open before it is moved to the pool's trash."},
      {.section = "libvirt",
       .name = "rbd_destroy_volume_retry_interval",
       .member = &Config::rbd_destroy_volume_retry_interval,
       .default_text = "5",
       .max = 60,
       .help = "Time between these tries, seconds."},
      {.section = "glance_store",
       .name = "rbd_store_pool",
       .member = &Config::rbd_store_pool,
       .default_text = "",
       .accepts = is_ceph_name_or_empty,
       .accepts_words = kCephNameWords,
       .help = "Ceph pool that images are stored in, raw and ready to be cloned; empty: as files."},
      {.section = "glance_store",
       .name = "rbd_store_user",
       .member = &Config::rbd_store_user,
       .default_text = "${libvirt.rbd_user}",
       .accepts = is_ceph_name_or_empty,
       .accepts_words = kCephNameWords,
       .help = "Ceph user that writes images."},
      {.section = "glance_store",
       .name = "rbd_store_ceph_conf",
       .member = &Config::rbd_store_ceph_conf,
       .default_text = "${libvirt.images_rbd_ceph_conf}",
       .accepts = is_clean_path_or_empty,
       .accepts_words = kPathOrNothingWords,
       .help = "Ceph configuration file for images."},
  };
}

}  // namespace ca
