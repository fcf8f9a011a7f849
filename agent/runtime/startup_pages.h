#pragma once

namespace ca {

// Gives back what only the start needed: free heap, and the pages of code and constants that relocation, option tables and the first
// connection touched. They are clean pages of files, which the kernel maps again when they are used; without this an idle agent
// holds 8 MiB of them.
void release_startup_pages();

}  // namespace ca
