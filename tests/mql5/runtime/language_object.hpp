// Objects of classes, pointers to them, and the storage of globals.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>

#include "language_base.hpp"

namespace mql {

enum ENUM_POINTER_TYPE : int { POINTER_INVALID = 0, POINTER_DYNAMIC = 1, POINTER_AUTOMATIC = 2 };

// The base of every class. MetaTrader's pointers are handles that know whether their object still
// lives: so every object is on record from its construction to its end.
class mql_object {
  public:
    mql_object() noexcept { enter(); }
    mql_object(const mql_object &) noexcept { enter(); }
    mql_object &operator=(const mql_object &) noexcept { return *this; }
    virtual ~mql_object() { leave(); }

    // Poisoned memory: a member without a value shows.
    static void *operator new(std::size_t size);
    static void *operator new(std::size_t, void *place) noexcept { return place; }
    static void operator delete(void *memory, std::size_t size) noexcept;
    static void operator delete(void *, void *) noexcept {}

  private:
    void enter() noexcept;
    void leave() noexcept;
};

// Of `new` objects that were not deleted.
std::size_t live_objects();
// The lines that MetaTrader writes into its journal when a program is unloaded; none if there is
// no leak. To be called when the globals are gone.
void report_leaks();

ENUM_POINTER_TYPE pointer_type(const mql_object *object);
void destroy_object(mql_object *object, const char *file, int line);

inline ENUM_POINTER_TYPE CheckPointer(const mql_object *object) { return pointer_type(object); }

template <class T>
inline T *GetPointer(T &object) {
    return &object;
}
template <class T>
inline T *GetPointer(T *object) {
    return object;
}

// `if(p)` and `!p` are CheckPointer in MQL5.
inline bool is_valid(const mql_object *object) { return pointer_type(object) != POINTER_INVALID; }

// Access through a pointer.
template <class T>
inline T &deref(T *object, MQL_PLACE) {
    if (__builtin_expect(object == nullptr, 0)) {
        critical("invalid pointer access", file, line);
    }
#ifdef MQL_POISON
    if (pointer_type(object) == POINTER_INVALID) {
        critical("invalid pointer access", file, line);
    }
#endif
    return *object;
}

// `(CDerived *)p`: critical when the object is none.
template <class To, class From>
inline To *cast_pointer(From *object, MQL_PLACE) {
    if (object == nullptr) {
        return nullptr;
    }
    To *to = dynamic_cast<To *>(&deref(object, file, line));
    if (to == nullptr) {
        critical("incorrect casting of pointers", file, line);
    }
    return to;
}

// `dynamic_cast<CDerived *>(p)`.
template <class To, class From>
inline To *try_pointer(From *object) {
    return is_valid(object) ? dynamic_cast<To *>(object) : nullptr;
}

// `delete p;`. NULL is nothing to do. MetaTrader writes into its journal when the object was
// not made by `new`; a pointer to what is gone ends the program here, so that a test sees it.
template <class T>
inline void destroy(T *object, MQL_PLACE) {
    destroy_object(const_cast<std::remove_const_t<T> *>(object), file, line);
}

// A variable at file scope. It comes to life when the terminal says so (the runtime is up and
// can be called by constructors) and ends before leaks are counted.
template <class T>
class storage {
  public:
    // The memory of a union's member is not constructed with it.
    union {
        T value;
    };
    storage() noexcept {}
    ~storage() {}

    void poison() noexcept { ::mql::poison(static_cast<void *>(&value), sizeof(T)); }
    void end() noexcept { end_of(value); }

  private:
    template <class U>
    static void end_of(U &variable) noexcept {
        variable.~U();
    }
    template <class U, std::size_t N>
    static void end_of(U (&array)[N]) noexcept {
        for (std::size_t index = N; index > 0; --index) {
            array[index - 1].~U();
        }
    }
};

}  // namespace mql
