//+------------------------------------------------------------------+
//|                                                      Symbols.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What this program knows of the terminal's symbols: which answer CopyTicks at once, which it put
// into Market Watch itself, to take them out again, and whose order books it has open: their events
// wake it.
//
// A symbol has a slot, a number that stays: whoever reads again and again keeps it, because a
// name is looked up by comparing texts.

#ifndef BRIDGE_MARKET_SYMBOLS_MQH
#define BRIDGE_MARKET_SYMBOLS_MQH

#include <Bridge/Support/Log.mqh>

//--- more slots than any broker has symbols
#define SYMBOL_SLOTS_MAX 65536

//+------------------------------------------------------------------+
//| The symbols that were asked for                                  |
//+------------------------------------------------------------------+
class CSymbols
  {
private:
   string            m_names[];
   bool              m_synchronised[];
   long              m_reached_msc[];   // the history was read back to here
   bool              m_selected[];      // by us: it was not in Market Watch before
   bool              m_book[];          // opened, and not closed yet
   CLog             *m_log;             // NULL: nobody is told

   void              TellBook(const string what,const int slot,const int error);

public:
                     CSymbols(void) : m_log(NULL) { }
   void              Log(CLog *lines) { m_log=lines; }
   string            Name(const int slot) const { return(m_names[slot]); }
   int               Slot(const string symbol);
   bool              Exists(const string symbol) const;
   int               Select(const int slot);
   void              Release(const int slot);
   void              ReleaseAll(void);
   void              OpenBook(const int slot);
   void              CloseBook(const int slot);
   void              CloseBooks(void);
   bool              MayBlock(const int slot) const { return(!m_synchronised[slot]); }
   bool              MayBlockFrom(const int slot,const long from_msc) const;
   void              Synchronised(const int slot,const long reached_msc);
   void              NotSynchronised(const int slot);
   void              ConnectionWasLost(void);
  };

// The slot of a symbol, made if need be; -1 when there is no memory.
int CSymbols::Slot(const string symbol)
  {
   const int total=ArraySize(m_names);
   for(int i=0; i<total; i++)
      if(m_names[i]==symbol)
         return(i);
   if(total>=SYMBOL_SLOTS_MAX)
      return(-1);
   if(ArrayResize(m_synchronised,total+1,64)!=total+1 || ArrayResize(m_reached_msc,total+1,64)!=total+1
      || ArrayResize(m_selected,total+1,64)!=total+1 || ArrayResize(m_book,total+1,64)!=total+1
      || ArrayResize(m_names,total+1,64)!=total+1)
      return(-1);
   m_names[total]=symbol;
   m_synchronised[total]=false;
   m_reached_msc[total]=LONG_MAX;
   m_selected[total]=false;
   m_book[total]=false;
   return(total);
  }

// Whether the terminal has a symbol of exactly this name.
bool CSymbols::Exists(const string symbol) const
  {
   bool is_custom=false;
   return(StringLen(symbol)>0 && SymbolExist(symbol,is_custom));
  }

// SymbolSelect: 0 or an error.
int CSymbols::Select(const int slot)
  {
   const string name=m_names[slot];
   if(SymbolInfoInteger(name,SYMBOL_SELECT)!=0)
      return(0);
   ResetLastError();
   if(SymbolSelect(name,true))
     {
      m_selected[slot]=true;
      return(0);
     }
   const int error=GetLastError();
   return(error!=0 ? error : ERR_MARKET_SELECT_ERROR);
  }

// Close the book, and take a symbol out of Market Watch that we put there. The terminal refuses
// while somebody else needs it: a chart, a position.
void CSymbols::Release(const int slot)
  {
   CloseBook(slot);
   if(!m_selected[slot])
      return;
   m_selected[slot]=false;
   if(SymbolSelect(m_names[slot],false))
      m_synchronised[slot]=false;
  }

void CSymbols::ReleaseAll(void)
  {
   const int total=ArraySize(m_names);
   for(int i=0; i<total; i++)
      Release(i);
  }

// Let the terminal tell of each change of a symbol's order book, if it has one. Without, its ticks
// are found a little later, so a failure is no error.
void CSymbols::OpenBook(const int slot)
  {
   const string name=m_names[slot];
   if(m_book[slot] || SymbolInfoInteger(name,SYMBOL_TICKS_BOOKDEPTH)<=0)
      return;
   ResetLastError();
   if(MarketBookAdd(name))
      m_book[slot]=true;
   else
      TellBook("opened",slot,GetLastError());
  }

// The terminal counts: once for each time it was opened.
void CSymbols::CloseBook(const int slot)
  {
   if(!m_book[slot])
      return;
   m_book[slot]=false;
   ResetLastError();
   if(!MarketBookRelease(m_names[slot]))
      TellBook("closed",slot,GetLastError());
  }

void CSymbols::CloseBooks(void)
  {
   const int total=ArraySize(m_names);
   for(int i=0; i<total; i++)
      CloseBook(i);
  }

void CSymbols::TellBook(const string what,const int slot,const int error)
  {
   if(m_log!=NULL)
      m_log.Debug(StringFormat("the order book of '%s' cannot be %s (error %d)",m_names[slot],what,error));
  }

// Whether reading from a time on may block: the terminal loads what it has not got yet.
bool CSymbols::MayBlockFrom(const int slot,const long from_msc) const
  {
   return(!m_synchronised[slot] || from_msc<m_reached_msc[slot]);
  }

void CSymbols::Synchronised(const int slot,const long reached_msc)
  {
   m_synchronised[slot]=true;
   if(reached_msc>0 && reached_msc<m_reached_msc[slot])
      m_reached_msc[slot]=reached_msc;
  }

void CSymbols::NotSynchronised(const int slot)
  {
   m_synchronised[slot]=false;
  }

// After an outage of the trade server's link every symbol may block again.
void CSymbols::ConnectionWasLost(void)
  {
   const int total=ArraySize(m_names);
   for(int i=0; i<total; i++)
     {
      m_synchronised[i]=false;
      m_reached_msc[i]=LONG_MAX;
     }
  }

#endif // BRIDGE_MARKET_SYMBOLS_MQH
