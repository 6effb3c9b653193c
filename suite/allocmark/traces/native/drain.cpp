// SPDX-License-Identifier: BSD-3-Clause
/**
 * Moves what recorders write from shared memory to the disk. It keeps nothing open and maps nothing: a build
 * starts thousands of processes.
 */
#include <allocmark/say.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "recording.h"
#include "traces.h"

namespace {

constexpr size_t kHead = sizeof(am_recorded_chunk);

struct Chunk {
    uint64_t offset;
    uint32_t bytes;
};

/** The file of one process. */
struct Source {
    uint64_t walked = AM_RECORDING_PAGE; // chunks before this are known
    std::vector<Chunk> chunks;           // that may be written again
};

class File {
  public:
    File(const std::string &path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
    File(const File &) = delete;
    ~File() {
        if (fd_ >= 0) close(fd_);
    }
    explicit operator bool() const { return fd_ >= 0; }
    int fd() const { return fd_; }
    bool read(void *to, size_t n, uint64_t at) const { return pread(fd_, to, n, off_t(at)) == ssize_t(n); }
    /** All of it; false with errno. A full disk first takes a part. */
    bool write(const void *from, size_t n, uint64_t at) const {
        auto *next = static_cast<const char *>(from);
        while (n > 0) {
            const ssize_t written = pwrite(fd_, next, n, off_t(at));
            if (written < 0) return false;
            next += written;
            at += uint64_t(written);
            n -= size_t(written);
        }
        return true;
    }

  private:
    int fd_;
};

/** The bytes of a chunk up to its last record. */
size_t used(const std::vector<char> &chunk) {
    size_t at = kHead;
    am_record record;
    for (; at + sizeof record <= chunk.size(); at += sizeof record) {
        std::memcpy(&record, &chunk[at], sizeof record);
        if (record.what == 0) break;
    }
    return at;
}

} // namespace

struct am_drain {
    std::string from, to;
    std::map<std::string, Source> sources;
    std::vector<char> buffer, zeros;
    int64_t moved = 0;

    bool pass(bool last) {
        DIR *folder = opendir(from.c_str());
        if (!folder) return false;
        while (const dirent *entry = readdir(folder))
            if (entry->d_name[0] != '.') sources.try_emplace(entry->d_name);
        closedir(folder);
        for (auto &[name, source] : sources)
            // Of a process that has ended only the last pass wants something.
            if ((last || kill(std::atoi(name.c_str()), 0) == 0 || errno == EPERM) &&
                !drain(name, source, last))
                return false;
        return true;
    }

    bool drain(const std::string &name, Source &source, bool last) {
        const File file(from + "/" + name, O_RDWR);
        if (!file) return errno == ENOENT;
        find_chunks(file, source, last);
        const File out(to + "/" + name, O_RDWR | O_CREAT);
        if (!out) return false;
        am_recording head;
        static_assert(sizeof head <= AM_RECORDING_PAGE);
        if (last || lseek(out.fd(), 0, SEEK_END) == 0) {
            buffer.assign(AM_RECORDING_PAGE, 0);
            if (!file.read(buffer.data(), buffer.size(), 0)) return true; // just being made
            std::memcpy(&head, buffer.data(), sizeof head);
            if (head.magic != AM_RECORDING_MAGIC) return true;
            if (!out.write(buffer.data(), buffer.size(), 0)) return false;
        }
        std::vector<Chunk> kept;
        for (const Chunk &chunk : source.chunks) {
            bool gone = false;
            if (!drain(file, out, chunk, last, gone)) return false;
            if (!gone) kept.push_back(chunk);
        }
        source.chunks = kept;
        return true;
    }

    /** A chunk's beginning is written after others may have taken room behind it. */
    void find_chunks(const File &file, Source &source, bool last) {
        struct stat found{};
        if (fstat(file.fd(), &found) != 0) return;
        const uint64_t size = uint64_t(found.st_size);
        while (source.walked + kHead <= size) {
            am_recorded_chunk head;
            if (!file.read(&head, sizeof head, source.walked)) return;
            const bool valid = head.magic == AM_CHUNK_MAGIC && head.bytes % AM_RECORDING_PAGE == 0 &&
                               head.bytes != 0 && head.bytes <= AM_RECORDING_PAGE << AM_LARGEST_STEP;
            if (valid) source.chunks.push_back({source.walked, head.bytes});
            if (!valid && !last) return;
            source.walked += valid ? head.bytes : uint64_t(AM_RECORDING_PAGE);
        }
    }

    bool drain(const File &file, const File &out, const Chunk &chunk, bool last, bool &gone) {
        am_recorded_chunk head;
        if (!file.read(&head, sizeof head, chunk.offset)) return true;
        if (head.state == AM_FULL || (last && head.state == AM_WRITING)) {
            buffer.assign(chunk.bytes, 0);
            if (!file.read(buffer.data(), buffer.size(), chunk.offset)) return true;
            const size_t n = used(buffer);
            std::memcpy(&head, buffer.data(), sizeof head);
            head.bytes = uint32_t(n);
            std::memcpy(buffer.data(), &head, sizeof head);
            const off_t end = lseek(out.fd(), 0, SEEK_END);
            if (end < 0 || !out.write(buffer.data(), n, uint64_t(end))) {
                const int why = errno; // half of a chunk would be no recording
                (void)!ftruncate(out.fd(), end < 0 ? 0 : end);
                errno = why;
                return false;
            }
            moved += int64_t(n);
            zeros.resize(std::max(zeros.size(), n));
            const uint32_t drained = AM_DRAINED;
            file.write(zeros.data(), n - kHead, chunk.offset + kHead);
            file.write(&drained, sizeof drained, chunk.offset + offsetof(am_recorded_chunk, state));
            head.state = drained;
        }
        gone = head.state == AM_DRAINED && head.ended;
        if (gone)
            fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off_t(chunk.offset),
                      chunk.bytes);
        return true;
    }
};

extern "C" am_drain *am_drain_new(const char *from, const char *to) {
    return new am_drain{from, to, {}, {}, {}};
}

extern "C" int64_t am_drain_pass(am_drain *drain, int last, allocmark_error *error) {
    drain->moved = 0;
    errno = 0;
    if (drain->pass(last)) return drain->moved;
    const int why = errno ? errno : EIO;
    allocmark_say(error, "%s: %s", drain->to.c_str(), std::strerror(why));
    return -why;
}

extern "C" void am_drain_free(am_drain *drain) {
    delete drain;
}
