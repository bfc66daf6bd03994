#!/usr/bin/env bash
# Publishes this repository to GitHub: the current branch and the tags. Everything is checked before
# anything is sent, and nothing is ever forced. Exit code 2: something to mend, in one line.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: ./push_to_github.sh [--repo OWNER/NAME | --remote URL] [--private] [--dry-run] [--help]

Pushes the current branch and the tags. Without an option it goes where `origin` points.

  --repo OWNER/NAME  the repository on GitHub; made with `gh` if it is not there yet
  --remote URL       any git address, a folder on disk too
  --private          make a new repository private (the default is public)
  --dry-run          check everything, say what would be done, change nothing
  --help             show this

The address becomes `origin` where there is none. Nothing is sent from a tree with changes that are
not committed, nor over commits that the remote has and this repository lacks.
TEXT
}

fail() {
    echo "error: $*" >&2
    exit 2
}

say() {
    if [[ $dry_run == yes ]]; then echo "would $*"; else echo "$*"; fi
}

repo="" url="" dry_run=no visibility=public
while (($#)); do
    case $1 in
        --repo | --remote)
            [[ -n ${2-} && $2 != --* ]] || fail "$1 needs a value; see --help"
            if [[ $1 == --repo ]]; then repo=$2; else url=$2; fi
            shift 2
            ;;
        --private) visibility=private && shift ;;
        --dry-run) dry_run=yes && shift ;;
        -h | --help) usage && exit 0 ;;
        *) fail "unknown option '$1'; see --help" ;;
    esac
done
[[ -z $repo || -z $url ]] || fail "give --repo or --remote, not both"
[[ -z $repo || $repo =~ ^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$ ]] ||
    fail "--repo is not OWNER/NAME; got '$repo'"

# git must fail instead of waiting for a password.
export GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND="${GIT_SSH_COMMAND:-ssh -o BatchMode=yes}"

# git's reason for a failure, in a line, without a token that an address may carry.
reason_in() {
    { grep -E '^(fatal|ERROR|error|remote|ssh|git@)' || true; } <<<"$1" | head -n 1 | redact
}

redact() {
    sed -E 's#//[^@/[:space:]]+@#//#g'
}

# The tree.
command -v git >/dev/null || fail "git is not installed"
root=$(git rev-parse --show-toplevel 2>/dev/null) || fail "not inside a git repository: $PWD"
if [[ -d $url ]]; then url=$(cd "$url" && pwd); fi # named from here, not from the root
cd "$root"
git rev-parse --verify --quiet HEAD >/dev/null || fail "there is no commit yet: commit something first"
branch=$(git symbolic-ref --quiet --short HEAD) ||
    fail "HEAD is detached: check out a branch first, as with: git switch main"
changes=$(git status --porcelain)
[[ -z $changes ]] ||
    fail "the tree has changes that are not committed ($(wc -l <<<"$changes" | tr -d ' ')): commit or stash them first"

# The remote.
origin=$(git remote get-url origin 2>/dev/null || true)
if [[ -n $repo ]]; then
    url="https://github.com/$repo.git"
    # An origin that reaches the same repository by ssh keeps its way in.
    case $origin in
        "git@github.com:$repo" | "git@github.com:$repo.git" | "https://github.com/$repo") url=$origin ;;
    esac
fi
url=${url:-$origin}
[[ -n $url ]] || fail "there is no remote: give --repo OWNER/NAME or --remote URL"
shown=$(redact <<<"$url")
[[ -z $origin || $origin == "$url" ]] ||
    fail "origin is $(redact <<<"$origin"), not $shown: change it first with: git remote set-url origin $shown"

# The login, and what the remote has.
create=no
if ! refs=$(git ls-remote "$url" 2>&1); then
    reason=$(reason_in "$refs")
    [[ -n $repo ]] ||
        fail "cannot read $shown (${reason:-no answer}): check the address, and the login with: gh auth login"
    command -v gh >/dev/null ||
        fail "cannot read $repo: make it on https://github.com/new if it does not exist, and log in; the GitHub CLI (https://cli.github.com) does both"
    gh auth status >/dev/null 2>&1 || fail "not logged in to GitHub: run gh auth login"
    if gh repo view "$repo" >/dev/null 2>&1; then
        fail "$repo exists, but git cannot read it (${reason:-no answer}): run gh auth setup-git"
    fi
    create=yes
    refs=""
fi

theirs=$(awk -v ref="refs/heads/$branch" '$2 == ref { print $1 }' <<<"$refs")
ours=$(git rev-parse HEAD)
if [[ -n $theirs ]] && ! git merge-base --is-ancestor "$theirs" HEAD 2>/dev/null; then
    fail "$shown has commits on $branch that are not here: fetch and merge them first; nothing is forced"
fi
new_tags=()
while read -r commit tag; do
    [[ -n $tag ]] || continue
    there=$(awk -v ref="$tag" '$2 == ref { print $1 }' <<<"$refs")
    if [[ -z $there ]]; then
        new_tags+=("$tag")
    elif [[ $there != "$commit" ]]; then
        fail "the tag ${tag#refs/tags/} is another one on $shown: tags are not moved; give yours a new name"
    fi
done < <(git for-each-ref --format='%(objectname) %(refname)' refs/tags)

if [[ $theirs == "$ours" && ${#new_tags[@]} -eq 0 ]]; then
    echo "nothing to do: $shown has $branch and all tags already"
    exit 0
fi
# A public repository can be read by anyone: only a rehearsal shows whether we may write.
push=(git push --quiet --atomic "$url" "HEAD:refs/heads/$branch" ${new_tags[@]+"${new_tags[@]}"})
if [[ $create == no ]] && ! answer=$("${push[@]}" --dry-run --no-verify 2>&1); then
    fail "no permission to push to $shown ($(reason_in "$answer")): log in with: gh auth login"
fi

# From here on, things change.
if [[ $create == yes ]]; then
    say "create the $visibility repository $repo on GitHub"
    [[ $dry_run == yes ]] || gh repo create "$repo" "--$visibility" >/dev/null ||
        fail "gh could not create $repo: see its message above"
fi
if [[ -n $theirs ]]; then count=$(git rev-list --count "$theirs..HEAD"); else count=$(git rev-list --count HEAD); fi
say "push $branch to $shown; new commits: $count, new tags: ${#new_tags[@]}"
if [[ $dry_run == yes ]]; then exit 0; fi

# All or nothing: either the branch and the tags arrive, or neither.
"${push[@]}" || fail "$shown did not take the push: see git's message above; nothing was changed there"
if [[ -z $origin ]]; then git remote add origin "$url"; fi
git fetch --quiet origin "$branch" && git branch --quiet --set-upstream-to="origin/$branch"
echo "done"
